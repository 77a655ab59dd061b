from fapws.contrib.log import Log as Log
