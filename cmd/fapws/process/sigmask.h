#pragma once

/* Reports whether sig arrived between the two programs of an upgrade. */
int fapws_signal_arrived(int sig);
