# add_flatbuffers_schema(target schema.fbs): compiles the schema when it changes; the target sees "<name>_generated.h".
# The library itself is header-only for us, so nothing is linked.
function(add_flatbuffers_schema target schema)
  get_filename_component(name ${schema} NAME_WE)
  set(folder ${PROJECT_BINARY_DIR}/generated/flatbuffers)
  set(header ${folder}/${name}_generated.h)
  add_custom_command(
    OUTPUT ${header}
    COMMAND flatbuffers::flatc --cpp --scoped-enums -o ${folder} ${PROJECT_SOURCE_DIR}/${schema}
    DEPENDS ${PROJECT_SOURCE_DIR}/${schema}
    VERBATIM)
  target_sources(${target} PRIVATE ${header})
  target_include_directories(${target} SYSTEM PRIVATE ${folder})
endfunction()
