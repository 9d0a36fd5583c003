"""The bag of visual words that SLAM systems relocalize with: the baseline of the benchmark.

As DBoW2 has it: a vocabulary tree over binary descriptors (`vocabulary`), tf-idf vectors compared
in an inverted index (`index`), and keypoints that match only inside a node of the tree
(`matching`). It is trained on the map's own keypoints.
"""

from .index import WordIndex
from .matching import match_in_words
from .vocabulary import Vocabulary, train_vocabulary

__all__ = ['Vocabulary', 'WordIndex', 'match_in_words', 'train_vocabulary']
