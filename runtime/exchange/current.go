package exchange

// AwaitCurrent calls f on the loop when Config.Current, which is not nil, says that requests that have arrived may be answered.
func (s *Server) AwaitCurrent(f func()) {
	if s.unasked = append(s.unasked, f); !s.asked {
		s.askCurrent()
	}
}

// askCurrent calls Config.Current for the requests that have arrived. Requests that arrive later need another call.
func (s *Server) askCurrent() {
	list := s.unasked
	s.unasked, s.asked = nil, true
	s.Config.Current(func() {
		s.Set.Events.Post(func() {
			for _, f := range list {
				f()
			}
			if s.asked = false; len(s.unasked) > 0 {
				s.askCurrent()
			}
		})
	})
}
