//! Every resource's definition: typed, versioned, watched; and the pipeline file.
