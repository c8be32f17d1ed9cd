"""Reads image files of any format as arrays with a place in the patient; grids and resampling."""
