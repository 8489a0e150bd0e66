# add_protobuf_schemas(target schema.proto...): a library with the C++ code protoc makes of schemas that lie in one folder,
# for the lite runtime; `target` links it privately, so only its own sources see "<name>.pb.h".
function(add_protobuf_schemas target)
  set(folder ${PROJECT_BINARY_DIR}/generated/protobuf)
  file(MAKE_DIRECTORY ${folder})
  set(sources)
  set(schemas)
  foreach(schema ${ARGN})
    get_filename_component(name ${schema} NAME_WE)
    list(APPEND sources ${folder}/${name}.pb.cc)
    list(APPEND headers ${folder}/${name}.pb.h)
    list(APPEND schemas ${PROJECT_SOURCE_DIR}/${schema})
  endforeach()
  add_custom_command(
    OUTPUT ${sources} ${headers}
    COMMAND protobuf::protoc --proto_path=${PROJECT_SOURCE_DIR}/schemas --cpp_out=${folder} ${schemas}
    DEPENDS ${schemas}
    VERBATIM)
  add_library(${target}_schemas STATIC ${sources} ${headers})
  target_include_directories(${target}_schemas SYSTEM INTERFACE ${folder})
  target_include_directories(${target}_schemas PRIVATE ${folder})
  target_compile_options(${target}_schemas PRIVATE -w)
  target_link_libraries(${target}_schemas PUBLIC protobuf::libprotobuf-lite)
  target_link_libraries(${target} PRIVATE ${target}_schemas)
endfunction()
