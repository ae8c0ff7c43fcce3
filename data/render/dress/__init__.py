"""An ear dressed and set into a picture: jewellery, devices, hair over it, and its exact labels."""
