// Package conn has connections below the protocols that they speak: descriptors, input that is read or left in the kernel,
// output that waits for room, files that are sent from disk, deadlines, and the ways in which a connection ends. It knows
// nothing of HTTP.
//
// A Set is the connections of an event loop, with what they share. Everything here must be called on that loop.
//
//   - Input is given to the Protocol as it arrives. What that cannot use now, Keep keeps. A connection that is paused is not
//     read from: what its client sends stays in the kernel, whose window then stops the client.
//   - Output that is ready at once is gathered (Set.Buf), for one connection at a time, and leaves with one system call for each
//     batch of events. What a socket does not take becomes a transfer (Queue), which the loop writes when there is room.
//   - Bytes of files are sent by the loop if they are in memory. Otherwise the descriptor is lent to a goroutine.
package conn
