package worker

import (
	"time"

	"fapws/cmd/fapws/exit"
	"fapws/runtime"
)

// descriptorsEvery is the time between two looks at the descriptors of the server.
const descriptorsEvery = 2 * time.Second

// watchDescriptors ends the process when the application has closed a descriptor without
// which no request can be answered: it would live on and be of no use. Supervisors ask
// their workers instead.
func (s *service) watchDescriptors() {
	for !s.over.Load() {
		time.Sleep(descriptorsEvery)
		err := s.server.Intact()
		if err == nil || s.over.Load() {
			continue
		}
		s.log.Log(runtime.LevelError, err.Error()+"; ending, because no request can be answered (os.closerange?)")
		s.exit(exit.Failed)
	}
}
