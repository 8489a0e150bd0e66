# add_layer(name [PROGRAM output [OWN file...] | MODULE output] [DEPS layer...] [LIBS target...] [SOURCES extra...] [TEST_DEPS layer...]):
# the folder src/<name> as a static library with exactly those links. Its *_test.cc files become the program <name>_test, one CTest entry
# a folder, which may use the layers of TEST_DEPS too.
# PROGRAM output: main.cc becomes that program, linked with the rest, as do the files of OWN, which nobody else gets.
# MODULE output: module.cc becomes lib<output>.so likewise.
# Include files are named from src/, so a layer that is not linked still compiles; tests/layers_test.py reads the includes.
function(add_layer name)
  cmake_parse_arguments(ARG "" "PROGRAM;MODULE" "OWN;DEPS;LIBS;SOURCES;TEST_DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cc)
  list(TRANSFORM ARG_OWN PREPEND ${PROJECT_SOURCE_DIR}/src/${name}/)
  list(FILTER sources EXCLUDE REGEX "/(main|module)\\.cc$")
  if(ARG_OWN)
    list(REMOVE_ITEM sources ${ARG_OWN})
  endif()
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  if(NOT sources)
    add_library(cortland_${name} INTERFACE)
    return()
  endif()
  add_library(cortland_${name} STATIC ${sources} ${ARG_SOURCES})
  target_include_directories(cortland_${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  list(TRANSFORM ARG_DEPS PREPEND cortland_)
  list(TRANSFORM ARG_TEST_DEPS PREPEND cortland_)
  target_link_libraries(cortland_${name} PUBLIC ${ARG_DEPS} ${ARG_LIBS})
  if(ARG_PROGRAM)
    add_executable(${ARG_PROGRAM} ${PROJECT_SOURCE_DIR}/src/${name}/main.cc ${ARG_OWN})
    target_link_libraries(${ARG_PROGRAM} PRIVATE cortland_${name})
  elseif(ARG_MODULE)
    # The names of layers and of shared modules meet (executorch), so the target is called after its folder.
    add_library(${name}_module MODULE ${PROJECT_SOURCE_DIR}/src/${name}/module.cc)
    set_target_properties(${name}_module PROPERTIES OUTPUT_NAME ${ARG_MODULE})
    target_link_libraries(${name}_module PRIVATE cortland_${name})
    target_link_options(${name}_module PRIVATE -Wl,--exclude-libs,ALL -Wl,--no-undefined -Wl,-z,nodelete)
  endif()
  if(CORTLAND_TESTS AND tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE cortland_${name} ${ARG_TEST_DEPS} GTest::gtest_main GTest::gmock)
    # Optimising the tests themselves costs more than it saves.
    target_compile_options(${name}_test PRIVATE $<$<CONFIG:Release>:-O0>)
    target_compile_definitions(${name}_test PRIVATE CORTLAND_TEST_DATA="tests/data")
    # From the root: an absolute path in the define would keep checkouts from sharing a compiler cache.
    add_test(NAME ${name} COMMAND ${name}_test WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  endif()
endfunction()
