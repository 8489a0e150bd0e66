# The layers, lowest first: a folder may include itself, what its line names, and what those name in turn.
# tests/layers_test.py checks every #include against this file.
add_layer(base LIBS fmt::fmt Threads::Threads)
add_layer(tensor DEPS base)
add_layer(archive DEPS base LIBS ZLIB::ZLIB simdjson::simdjson)
