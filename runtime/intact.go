package runtime

import "fmt"

// Intact returns an error, of one line, if the server can answer no more requests because a descriptor
// that it needs was closed, or is another file now: applications close what is not their own
// (os.closerange). A loop that is only busy is intact. It is safe for concurrent use, between Serve and Close.
func (s *Server) Intact() error {
	if err := s.loop.conns.Events.Intact(); err != nil {
		return err
	}
	a := &s.loop.accepting
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped.Load() {
		return nil
	}
	if a.failed != nil {
		return fmt.Errorf("the application has closed what accepting connections needs: %w", a.failed)
	}
	for _, ln := range a.listeners {
		if err := ln.Intact(); err != nil {
			return err
		}
	}
	return nil
}
