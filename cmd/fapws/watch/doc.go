// Package watch reports when files of an application have changed: once for all files that were saved together, and
// only when their content differs from before. Package supervisor uses it for --reload. A Watcher has a goroutine,
// which sends on Changes; Close is safe for concurrent use. Start reading at watch.go.
//
// It looks at all files again and again: network file systems, files behind symbolic links and used-up watches need that. An event of
// the kernel (package fsnotify) only has it look at once; an event that is lost costs half a second.
package watch
