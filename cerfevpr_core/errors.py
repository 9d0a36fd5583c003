"""The few errors a user can meet. Each says what was found, what was expected and what to do."""


class CerfeVPRError(Exception):
    """Something the user can put right; the command line prints it and exits with 2."""


class ConfigError(CerfeVPRError):
    """A setting has a wrong name, type or range."""


class ImageError(CerfeVPRError):
    """An image, a folder of images or a bag cannot be read."""


class MapError(CerfeVPRError):
    """A map is missing, empty, foreign or damaged."""


class DamagedMapError(MapError):
    """A map whose files have changed or are cut short."""


class MapGoneError(MapError):
    """A map that was removed, or replaced by another, while it was open."""


class UncalibratedError(MapError):
    """A map that gives too few examples to say how sure its answers are."""


class WeightsError(CerfeVPRError):
    """Pretrained weights cannot be found or do not fit the network."""


class TrainingError(CerfeVPRError):
    """A training cannot go on."""
