# The target executorch_runtime: headers and libexecutorch.so of the wheel named by CORTLAND_EXECUTORCH. The wheel's own CMake
# package would do the same, but only from CMake 3.28 on. executorch_kernels: the CPU kernels that register themselves, and the
# XNNPACK backend, to which ExecuTorch's own flow can leave what Core ML does not take.
set(CORTLAND_HAVE_EXECUTORCH OFF)
if(NOT CORTLAND_EXECUTORCH)
  message(STATUS "ExecuTorch: off (CORTLAND_EXECUTORCH is empty); .pte files can be written and read, not run")
elseif(NOT EXISTS ${CORTLAND_EXECUTORCH}/lib/libexecutorch.so)
  message(WARNING "ExecuTorch: there is no lib/libexecutorch.so in ${CORTLAND_EXECUTORCH}; .pte files can be written and read, not run")
else()
  set(CORTLAND_HAVE_EXECUTORCH ON)
  message(STATUS "ExecuTorch: ${CORTLAND_EXECUTORCH}")
  set(include ${CORTLAND_EXECUTORCH}/include)
  add_library(executorch_runtime INTERFACE)
  target_include_directories(executorch_runtime SYSTEM INTERFACE ${include} ${include}/executorch/runtime/core/portable_type/c10)
  target_compile_definitions(executorch_runtime INTERFACE C10_USING_CUSTOM_GENERATED_MACROS ET_EVENT_TRACER_ENABLED ET_USE_THREADPOOL)
  target_link_libraries(executorch_runtime INTERFACE ${CORTLAND_EXECUTORCH}/lib/libexecutorch.so)
  add_library(executorch_kernels INTERFACE)
  set(kernels ${CORTLAND_EXECUTORCH}/lib/libexecutorch_kernels_optimized.so ${CORTLAND_EXECUTORCH}/lib/libexecutorch_kernels_quantized.so)
  if(EXISTS ${CORTLAND_EXECUTORCH}/lib/libexecutorch_backend_xnnpack.so)
    list(APPEND kernels ${CORTLAND_EXECUTORCH}/lib/libexecutorch_backend_xnnpack.so)
  endif()
  # Nothing refers to them by name, so the linker must be told to keep them.
  target_link_libraries(executorch_kernels INTERFACE "-Wl,--push-state,--no-as-needed" ${kernels} "-Wl,--pop-state")
endif()
