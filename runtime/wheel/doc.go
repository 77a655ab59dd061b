// Package wheel keeps things by the time at which they have to be looked at: connections by their deadlines. It has
// 256 slots of half a second. It belongs to one goroutine, the event loop; packages conn and runtime use it.
//
// The owner of a thing does not touch the wheel while the thing is in use: it only notes the time, and the wheel
// finds a new place when the old one comes up. So a timeout costs a request nothing, and ten thousand idle
// connections cost two list operations each for every keep-alive time. The price: timeouts are up to a second late.
package wheel
