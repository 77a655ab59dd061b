package exchange

// AwaitCurrent calls f on the loop when Config.Current, which must not be nil, allows the requests that have arrived.
func (s *Server) AwaitCurrent(f func()) {
	if s.unasked = append(s.unasked, f); !s.asked {
		s.askCurrent()
	}
}

// askCurrent calls Config.Current for the requests that have arrived. Later requests need another call.
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
