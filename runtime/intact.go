package runtime

// Intact returns an error, of one line, if the server can answer no more requests because a descriptor
// that it needs was closed, or is another file now: applications close what is not their own
// (os.closerange). A loop that is only busy is intact. It is safe for concurrent use, between Serve and Close.
func (s *Server) Intact() error {
	if err := s.loop.conns.Events.Intact(); err != nil {
		return err
	}
	return s.loop.accepting.Intact()
}
