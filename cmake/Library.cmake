# add_library_and_examples(): libcortland, a shared library that exports what src/cortland/cortland.h declares, and the programs of
# examples/. `cmake --install build/release --component library --prefix folder` puts library, headers and a CMake package into a
# folder: find_package(cortland) gives the target cortland::cortland.
function(add_library_and_examples)
  include(GNUInstallDirs)
  # Everything is compiled with hidden visibility; headers that are installed say what they export, except those of base.
  set_source_files_properties(${PROJECT_SOURCE_DIR}/src/base/diagnostic.cc PROPERTIES COMPILE_OPTIONS -fvisibility=default)
  # The objects themselves: of an archive the linker would take only what the library itself refers to.
  add_library(libcortland SHARED $<TARGET_OBJECTS:cortland_cortland> $<TARGET_OBJECTS:cortland_driver>)
  set_target_properties(libcortland PROPERTIES OUTPUT_NAME cortland EXPORT_NAME cortland VERSION ${PROJECT_VERSION} SOVERSION 0)
  target_compile_features(libcortland INTERFACE cxx_std_20)
  target_link_libraries(libcortland PRIVATE cortland_driver)
  target_include_directories(libcortland INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}/cortland>)

  install(TARGETS libcortland EXPORT cortland LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library)
  install(EXPORT cortland NAMESPACE cortland:: FILE cortland-config.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/cortland COMPONENT library)
  install(FILES src/cortland/cortland.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cortland COMPONENT library)
  foreach(header base/diag.def base/diagnostic.h base/result.h driver/report.h executorch/compile_spec.h executorch/compile_specs.h)
    get_filename_component(folder ${header} DIRECTORY)
    install(FILES src/${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/cortland/${folder} COMPONENT library)
  endforeach()

  add_executable(example_lower examples/lower.cc)
  set_target_properties(example_lower PROPERTIES OUTPUT_NAME lower RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/examples)
  target_link_libraries(example_lower PRIVATE libcortland)
endfunction()
