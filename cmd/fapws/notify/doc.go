// Package notify tells a service manager how the server is doing, by the protocol of sd_notify(3): datagrams to a
// unix socket whose address is in the environment. It also feeds the manager's watchdog, as long as the server
// answers. Package presence uses it, in the process that the manager has started.
package notify
