# Passed as CMAKE_PROJECT_INCLUDE when the interfaces are built against the ROS wheels.
#
# The wheels export the include folders of the Python and NumPy that they were compiled with.
# Those exist on no other machine, and CMake stops at an imported target that names a missing
# folder. The right ones come from find_package(Python3) anyway, so the missing are dropped.

function(_drop_missing_includes)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(includes ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT includes)
      continue()
    endif()
    set(kept "")
    foreach(include IN LISTS includes)
      if(include MATCHES "^\\$<" OR EXISTS "${include}")
        list(APPEND kept "${include}")
      endif()
    endforeach()
    set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${kept}")
  endforeach()
endfunction()

# The targets appear only after project(), so wait for the end of CMakeLists.txt.
cmake_language(DEFER CALL _drop_missing_includes)
