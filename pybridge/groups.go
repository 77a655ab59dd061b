package pybridge

// #include "shim.h"
// #include "shim_messages.h"
import "C"

import (
	"fmt"
	"hash/fnv"
	"io"
	"strconv"
	"strings"
	"unsafe"

	"fapws/runtime/exchange"

	python3 "github.com/go-python/cpy3"
)

// The event loop keeps groups of WebSockets (runtime.Server.Broadcast). The name of a group is a place and a name that the
// application chooses. The place of a fapws.WebSocket is the same in all processes; all ASGI applications share one.

// placeMounts gives each WebSocket a place that is the same in all processes, also after a reload: the name of its application
// in the configuration, its prefix, its callbacks, and, if all of these are equal, its order, by seen. So a different WebSocket
// in newer code has a different place. A WebSocket that is mounted twice has the place of its first mount.
func placeMounts(mounts []Mount, application string, seen map[string]int) {
	first := map[*python3.PyObject]string{}
	for i := range mounts {
		m := &mounts[i]
		if !kinds[m.Kind].callbacks {
			continue
		}
		if m.Place = first[m.callable]; m.Place != "" && m.callable != nil {
			continue
		}
		name := strings.Join([]string{application, m.Prefix, m.Name}, "\n")
		if seen[name]++; seen[name] > 1 {
			name += "\n" + strconv.Itoa(seen[name])
		}
		m.Place = strings.ReplaceAll(name, "\x00", "")
		first[m.callable] = m.Place
	}
}

// Group returns the group of all WebSockets of m, or "".
func (m *Mount) Group() string {
	if m.Place == "" {
		return ""
	}
	return groupAt(m.Place, "")
}

func groupAt(place, name string) string { return place + "\x00" + name }

// Group returns the group that e is for, if it has a Place.
func (e *Event) Group() string { return groupAt(e.Place, e.Name) }

// IsGroup reports whether name is the name of a group, not of a channel.
func IsGroup(name string) bool { return strings.Contains(name, "\x00") }

// GroupKey returns the short name by which CountSubscribers knows a group, as count_key of broadcast.c does.
func GroupKey(group string) string {
	key := fnv.New64a()
	_, _ = io.WriteString(key, group)
	return fmt.Sprintf("#%016x", key.Sum64())
}

// ForPython reports whether e is for the Python code of all processes (fapws._ipc), and for no client: see TakeMessage.
func (e *Event) ForPython() bool { return e.Place == C.FAPWS_PLACE_PYTHON }

// TakeMessage gives an event for the Python code to that of this process. It is safe for concurrent use.
func (h *Handler) TakeMessage(e *Event) {
	C.fapws_ipc_put(bytesOf(e.Name), C.size_t(len(e.Name)), bytesOf(e.Data), C.size_t(len(e.Data)))
}

// bytesOf returns the address of a text, for a call that does not keep it.
func bytesOf(text string) *C.char { return (*C.char)(unsafe.Pointer(unsafe.StringData(text))) }

// changeGroup is called for ws.join, ws.leave and fapws.groups, with fapws_socket_number of the WebSocket. It must be called on
// the event loop.
func (h *Handler) changeGroup(socket uint64, name string, joins bool) {
	ticket, serial := uint32(socket), uint32(socket>>32)
	place := ""
	h.mu.Lock()
	if rec := h.record(exchange.Ticket(ticket)); rec != nil && uint32(rec.serial) == serial {
		if m := &h.app.mounts[rec.mount]; m.Place != "" {
			place = m.Place
		} else if m.Kind.WebSockets() {
			place = C.FAPWS_PLACE_ASGI
		}
	}
	h.mu.Unlock()
	change := h.config.Leave
	if joins {
		change = h.config.Join
	}
	if place != "" && change != nil {
		change(exchange.Ticket(ticket), groupAt(place, name))
	}
}
