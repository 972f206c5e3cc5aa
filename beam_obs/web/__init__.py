"""Pages over a store: served while runs run, or written out as files. They read, and change nothing."""
