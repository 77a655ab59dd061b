package runtime

// Intact returns an error, of one line, if the server can answer no more requests because of the application: a descriptor
// that it needs was closed (os.closerange), is another file now or was made blocking, or the limit of open files was
// lowered. A loop that is only busy is intact. It is safe for concurrent use, between Serve and Close.
func (s *Server) Intact() error {
	if err := s.loop.conns.Events.Intact(); err != nil {
		return err
	}
	return s.loop.accepting.Intact()
}
