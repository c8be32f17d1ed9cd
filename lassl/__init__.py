"""LASSL: left-atrium segmentation from few labels, as a benchmark whose every number can be made again."""
