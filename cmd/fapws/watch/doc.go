// Package watch reports when files of an application have changed: once for all files that were saved together, and
// only when their content differs from before. Package supervisor uses it for --reload. A Watcher has a goroutine,
// which sends on Changes; Close is safe for concurrent use. Start reading at watch.go.
//
// Package fsnotify beneath it reports events of the kernel for single directories. It has no recursion into
// directories, also not into later ones; no patterns; no comparison of content, so touching a file would reload
// (tree.go has these); and no polling, where the kernel reports nothing (network file systems) or has no watches
// left. Files that are named, and those behind symbolic links, are polled in any case: the kernel would have to watch every directory on
// the way to them.
package watch
