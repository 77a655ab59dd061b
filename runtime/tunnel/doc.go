// Package tunnel passes bytes between a client and an upstream on the event loop.
//
// A tunnel has a descriptor for each side and, while nothing waits, no buffer and no goroutine. It reads into memory that all
// tunnels of a loop share, and writes the bytes to the other side at once. What the other side has no room for is kept, and
// nothing more is read until that is written: a side that reads slowly slows down the side that writes.
//
// Each direction ends by itself: when one side has sent its last byte, the other one is shut down for writing once it has
// been sent everything. The tunnel is over when both directions are.
package tunnel
