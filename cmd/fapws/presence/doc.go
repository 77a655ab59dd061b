// Package presence has the means by which other programs find a server: its pid file, the messages to the service
// manager (package notify), and its control socket (package ctl). The process that receives the signals has one: a
// worker without a supervisor, or the supervisor. The Presence of other workers is empty and does nothing.
package presence
