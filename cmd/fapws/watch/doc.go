// Package watch reports when files of an application have changed: once for all files that were saved together, and
// only if the content of the files has changed. A Watcher has a goroutine, which calls the function that was passed to
// Report; Close is safe for concurrent use.
//
// The Watcher scans all files periodically, because kernel events do not cover network file systems, files behind
// symbolic links, and files beyond the limit of watches. A kernel event (package fsnotify) only starts a scan at once.
// After a lost event, the change is found by the next periodic scan.
package watch
