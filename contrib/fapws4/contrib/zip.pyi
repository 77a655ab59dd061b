from fapws.contrib.zip import Gzip as Gzip
