complete --keep-order --exclusive --command ecobox --arguments "(COMPLETE=fish ecobox -- (commandline --current-process --tokenize --cut-at-cursor) (commandline --current-token))"
