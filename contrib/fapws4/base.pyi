from fapws.base import Environ as Environ, Start_response as Start_response
