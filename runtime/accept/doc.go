// Package accept takes connections from listening sockets on an event loop, as long as its host has room for them. When
// descriptors run out it tries again, and after a while it refuses waiting clients by a reserve descriptor.
package accept
