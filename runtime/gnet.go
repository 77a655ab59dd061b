package runtime

import (
	"errors"
	"reflect"
	"unsafe"

	"github.com/panjf2000/gnet/v2"
	gnetqueue "github.com/panjf2000/gnet/v2/pkg/queue"
)

type taskQueue = gnetqueue.AsyncTaskQueue

// open finds what gnet does not export of a loop: its epoll and eventfd descriptors, the flag
// that says that there are tasks (Execute, Enroll), which is 1 from before its
// eventfd is written until all have run, and the queues of the tasks. A test says
// so when a new gnet keeps them elsewhere.
func (p *poller) open(el gnet.EventLoop) error {
	epoll, event, chores := pollerField(el, "fd"), pollerField(el, "efd"), pollerField(el, "wakeupCall")
	if epoll.Kind() != reflect.Int || event.Kind() != reflect.Int || chores.Kind() != reflect.Int32 {
		return errUnknownGnet
	}
	p.epoll, p.event = int(epoll.Int()), int(event.Int())
	p.chores = (*int32)(unsafe.Pointer(chores.UnsafeAddr()))
	for i, name := range [...]string{"urgentAsyncTaskQueue", "asyncTaskQueue"} {
		v := pollerField(el, name)
		if !v.IsValid() {
			return errUnknownGnet
		}
		q, ok := reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem().Interface().(taskQueue)
		if !ok {
			return errUnknownGnet
		}
		p.tasks[i] = q
	}
	return nil
}

var errUnknownGnet = errors.New("this version of gnet keeps its epoll where it is not looked for")

// pollerField returns a field of a loop's poller, or the zero Value.
func pollerField(el gnet.EventLoop, name string) reflect.Value {
	v := reflect.ValueOf(el)
	for _, name := range [...]string{"poller", name} {
		if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
			return reflect.Value{}
		}
		if v = v.Elem().FieldByName(name); !v.IsValid() {
			return v
		}
	}
	return v
}
