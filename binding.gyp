{
  # npm and node-gyp look for this file. It compiles nothing itself: it hands over to cmake-js,
  # which builds the probes and the addon from native/CMakeLists.txt. The same as `npm run build`.
  'targets': [{
    'target_name': 'vedette',
    'type': 'none',
    'actions': [{
      'action_name': 'cmake_js',
      'inputs': ['native/CMakeLists.txt'],
      # Never made, so that the action always runs; cmake finds out what changed.
      'outputs': ['build/native/always'],
      'action': ['node', 'native/build.ts'],
    }],
  }],
}
