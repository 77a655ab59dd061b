// Package watch reports when files of an application have changed: once for all files that were saved together, and
// only when their content differs from before. Package supervisor uses it for --reload. A Watcher has a goroutine,
// which sends on Changes; Close is safe for concurrent use. Start reading at watch.go.
//
// It looks at all files again and again, and asks no kernel to report changes: that would be a second mechanism beside this one, which network
// file systems, files behind symbolic links and used-up watches need in any case.
package watch
