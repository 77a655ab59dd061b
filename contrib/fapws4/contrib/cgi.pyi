from fapws.contrib.cgi import CGIApplication as CGIApplication
