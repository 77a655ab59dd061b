from fapws.contrib.views import Staticfile as Staticfile
