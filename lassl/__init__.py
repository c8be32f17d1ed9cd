"""LASSL: left-atrium segmentation by semi-supervised learning. Importing it changes nothing in the process."""
