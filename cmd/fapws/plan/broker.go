package plan

import (
	"fmt"

	"fapws/cmd/fapws/broker"
)

// readBroker reads the URL of the broker; the supervisor connects to it. So check finds mistakes in it, too.
func (p *Plan) readBroker() (err error) {
	if p.Conf.Channels == "" {
		return nil
	}
	if p.Broker, err = broker.Parse(p.Conf.Channels); err != nil {
		return p.Settings.Wrong("channels", fmt.Errorf("must be %w", err))
	}
	return nil
}
