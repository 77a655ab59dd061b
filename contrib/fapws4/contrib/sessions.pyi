from fapws.contrib.sessions import Session as Session, Sessions as Sessions
