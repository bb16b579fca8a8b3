"""Features that people already have: a file or a folder of any known form, picture by picture.

One file for each form; `forms.form_of` looks at the content and picks one. A form gives each
picture's id at once and its numbers only when they are asked for, so that pictures that nobody
wants cost nothing. Memory holds one picture, however large the file is.

Nothing in a file is trusted before the bytes are there: counts and shapes are compared with them
before anything is made. Nothing is unpickled. Readers need numpy and no torch; HDF5 needs h5py.
"""
