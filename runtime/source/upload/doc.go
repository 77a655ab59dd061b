// Package upload stores files that clients send: in a directory, at a fixed path, on a block device or in a descriptor. A body is
// written while it arrives, on the goroutine of its request (package backend). So a file is never whole in memory, and is on the disk once. A slow disk stops
// the client, through the window of the body.
//
// A file has a temporary name in its directory until it is complete, in accordance with its digest, and synchronized. Then it is renamed. The temporary
// name follows from the real one, and its file is locked (flock(2)) while a process writes it: so the second of two uploads of one name
// is refused, also if another worker has the first, and a file that a killed server has left can be told from one that is being written.
//
// Start reading at Upload (upload.go), which answers requests.
//
//	upload.go     a request, options, refusals
//	transfer.go   its body: a file, or a form with files; digests
//	target.go     where files go; a directory, and the names in it
//	device.go     other targets: a device, a FIFO, a descriptor, a generator of Python
//	draft.go      a file from its first byte until it has its name
//	tus.go        the protocol of uploads that go on where they broke off
//	partial.go    their two files in the directory, and when these expire
//	progress.go   reports about uploads of all processes
package upload
