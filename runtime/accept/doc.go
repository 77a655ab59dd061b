// Package accept takes connections from listening sockets on an event loop, as long as its host has room for them. It survives
// a lack of descriptors: it tries again, and after a while tells clients that wait by one descriptor that is kept for that.
package accept
