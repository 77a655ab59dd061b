#pragma once

/* Reports whether sig arrived between two programs of an upgrade. Go's start unblocks sig, or sig is ignored until
 * then. */
int fapws_signal_arrived(int sig);
