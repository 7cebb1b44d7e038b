"""What goes into an experiment: images, text and EEG, and the catalog that says where each set comes from."""
