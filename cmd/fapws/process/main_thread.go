package process

// forMain passes functions to the main goroutine while Beside runs. It is nil otherwise.
var forMain chan func()

// Beside runs f on a new goroutine and returns when f has returned. Meanwhile, the calling goroutine, which must be the
// main one, runs the functions of OnMain.
//
// The main goroutine is locked to its thread. Whenever such a goroutine is woken, another thread must pass its processor
// on to this thread, and take it back afterwards. A goroutine that receives many messages should therefore not be the
// main one.
func Beside(f func()) {
	forMain = make(chan func())
	over := make(chan struct{})
	go func() {
		defer close(over)
		f()
	}()
	for {
		select {
		case g := <-forMain:
			g()
		case <-over:
			forMain = nil
			return
		}
	}
}

// OnMain runs f on the main thread and returns when f has returned. Some actions depend on this thread: it alone keeps
// capabilities (package confine), its children outlive an upgrade (PR_SET_PDEATHSIG), and it alone may execute another
// program without their end. OnMain must be called on the goroutine of Beside or, while Beside does not run, on the main
// goroutine, where it calls f at once.
func OnMain(f func()) {
	if forMain == nil {
		f()
		return
	}
	done := make(chan struct{})
	forMain <- func() {
		f()
		close(done)
	}
	<-done
}
