// Package upload stores files that clients send: in a directory, at a fixed path, on a device or in a descriptor. A
// body is written while it arrives, on the goroutine of its request (package backend). Therefore a file is never in
// memory as a whole, and is written to disk only once. If the disk is slow, the flow control of the body pauses the
// client.
//
// A file has a temporary name in its directory until it is complete, matches its digest, and is synchronized to disk,
// and is then renamed. The temporary name is derived from the final name, and the file is locked (flock(2)) while a
// process writes it. Therefore any worker rejects a second simultaneous upload with the same name. A temporary file
// that is not locked was left by a killed server.
//
//	upload.go     a request, options, refusals
//	transfer.go   its body: a file, or a form with files; digests
//	target.go     where files are stored; a directory, and the names in it
//	device.go     other targets: a device, a FIFO, a descriptor, a generator of Python
//	draft.go      a file from its first byte until it has its final name
//	tus.go        the protocol for uploads that continue after an interruption
//	partial.go    the two files of such an upload, and when they expire
//	progress.go   reports about the uploads of all processes
package upload
