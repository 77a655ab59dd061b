#pragma once

/* Reports whether sig arrived between the old and the new program of an upgrade. */
int fapws_signal_arrived(int sig);
