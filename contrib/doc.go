// Package contrib contains the unit of systemd, which the command systemd-unit adapts to a site.
package contrib

import _ "embed"

// Service is the text of the unit file that the package of fapws installs. @PREFIX@ stands for the prefix of the
// installation.
//
//go:embed fapws.service
var Service string
