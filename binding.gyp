{
  # The door for node-gyp. It compiles nothing itself: it hands over to cmake-js, which builds the
  # probes and the addon from native/CMakeLists.txt. The same as `npm run build`.
  # "gypfile": false in package.json keeps npm from calling `node-gyp rebuild` on every install:
  # that downloads Node's headers and empties build/, where more than the addon lives.
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
